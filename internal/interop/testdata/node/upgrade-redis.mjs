// node upgrade-redis.mjs HOST PORT PROTOCOL: what upgrade-ioredis.mjs does, with the other
// client.
import { createClient } from 'redis'

const [host, port, protocol] = process.argv.slice(2)
const options = { socket: { host, port: Number(port), reconnectStrategy: false }, RESP: Number(protocol) }
const [publisher, subscriber] = [createClient(options), createClient(options)]
const channel = `/redis/${protocol}`
for (const client of [publisher, subscriber]) {
  client.on('error', (error) => {
    throw error
  })
  await client.connect()
}
let heard = 0
let all = () => {}
await subscriber.subscribe(channel, (message) => {
  if (message !== String(heard)) throw new Error(`heard ${message}, want ${heard}`)
  heard++
  all()
})
const id = await publisher.clientId()
let over = false
process.stdin.on('end', () => (over = true)).resume()
let sent = 0
do {
  const replies = await publisher.multi().publish(channel, String(sent)).publish(channel, String(sent + 1)).exec()
  if (replies.some((receivers) => receivers !== 1)) throw new Error(`replies ${replies}`)
  if ((await publisher.publish(channel, String(sent + 2))) !== 1) throw new Error('nobody hears')
  if (sent === 0) console.log('ready')
  sent += 3
} while (!over)
if (heard < sent) await new Promise((resolve) => (all = () => heard === sent && resolve()))
if ((await publisher.clientId()) !== id) throw new Error('another connection')
publisher.destroy()
subscriber.destroy()
console.log('heard', heard)
