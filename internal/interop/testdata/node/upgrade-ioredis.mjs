// node upgrade-ioredis.mjs HOST PORT PROTOCOL: subscribes to a channel of its own, and
// publishes numbers there until stdin ends. It checks that it has heard each once and in
// order, by the two connections that it began with.
import { Redis } from 'ioredis'

const [host, port, protocol] = process.argv.slice(2)
const options = { host, port, protocol: Number(protocol), retryStrategy: null, autoResubscribe: false }
const [publisher, subscriber] = [new Redis(options), new Redis(options)]
const channel = `/ioredis/${protocol}`
let heard = 0
let all = () => {}
subscriber.on('message', (_, message) => {
  if (message !== String(heard)) throw new Error(`heard ${message}, want ${heard}`)
  heard++
  all()
})
for (const client of [publisher, subscriber]) {
  client.on('error', (error) => {
    throw error
  })
}
await subscriber.subscribe(channel)
const id = await publisher.client('ID')
let over = false
process.stdin.on('end', () => (over = true)).resume()
let sent = 0
do {
  const replies = await publisher.multi().publish(channel, String(sent)).publish(channel, String(sent + 1)).exec()
  if (replies.some(([error, receivers]) => error || receivers !== 1)) throw new Error(`replies ${replies}`)
  if ((await publisher.publish(channel, String(sent + 2))) !== 1) throw new Error('nobody hears')
  if (sent === 0) console.log('ready')
  sent += 3
} while (!over)
if (heard < sent) await new Promise((resolve) => (all = () => heard === sent && resolve()))
if ((await publisher.client('ID')) !== id) throw new Error('another connection')
publisher.disconnect()
subscriber.disconnect()
console.log('heard', heard)
