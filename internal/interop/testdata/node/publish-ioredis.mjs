// node publish-ioredis.mjs HOST PORT PROTOCOL: sends the commands on standard
// input, an array of arrays in JSON, and prints the array of replies.
import { text } from 'node:stream/consumers'
import { Redis } from 'ioredis'

const [host, port, protocol] = process.argv.slice(2)
const client = new Redis({ host, port, protocol: Number(protocol) })
client.on('error', (error) => {
  throw error
})
const replies = []
for (const [name, ...args] of JSON.parse(await text(process.stdin))) {
  replies.push(String(name === 'PUBLISH' ? await client.publish(...args) : await client.call(name, ...args)))
}
await client.quit()
console.log(JSON.stringify(replies))
