// node listen-redis.mjs HOST PORT PROTOCOL: what listen-ioredis.mjs does, with the
// other client.
import { createClient } from 'redis'

const [host, port, protocol] = process.argv.slice(2)
const client = createClient({ socket: { host, port: Number(port) }, RESP: Number(protocol) })
client.on('error', (error) => {
  throw error
})
await client.connect()
const onMessage = async (message, channel) => {
  console.log(JSON.stringify(['message', channel, message]))
  if (message === 'more') {
    await client.subscribe('/later', onMessage)
    console.log('subscribed')
  } else if (message === 'less') {
    await client.unsubscribe('/later')
    console.log('unsubscribed')
  } else if (message === 'end') {
    await client.close()
  }
}
await client.subscribe(['/first', '_action_cable_internal'], onMessage)
await client.pSubscribe('/p/*', (message, channel) => {
  console.log(JSON.stringify(['pmessage', '/p/*', channel, message]))
})
console.log('ready')
