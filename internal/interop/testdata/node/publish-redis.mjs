// node publish-redis.mjs HOST PORT PROTOCOL: sends the commands on standard
// input, an array of arrays in JSON, and prints the array of replies.
import { text } from 'node:stream/consumers'
import { createClient } from 'redis'

const [host, port, protocol] = process.argv.slice(2)
const client = createClient({ socket: { host, port: Number(port) }, RESP: Number(protocol) })
client.on('error', (error) => {
  throw error
})
await client.connect()
const replies = []
for (const command of JSON.parse(await text(process.stdin))) {
  const [name, ...args] = command
  replies.push(String(name === 'PUBLISH' ? await client.publish(...args) : await client.sendCommand(command)))
}
await client.close()
console.log(JSON.stringify(replies))
