// node listen-ioredis.mjs HOST PORT PROTOCOL: subscribes to channels and a pattern,
// prints each message, and subscribes to one more channel, leaves it and ends when
// messages say so.
import { Redis } from 'ioredis'

const [host, port, protocol] = process.argv.slice(2)
const client = new Redis({ host, port, protocol: Number(protocol) })
client.on('error', (error) => {
  throw error
})
client.on('message', async (channel, message) => {
  console.log(JSON.stringify(['message', channel, message]))
  if (message === 'more') {
    await client.subscribe('/later')
    console.log('subscribed')
  } else if (message === 'less') {
    await client.unsubscribe('/later')
    console.log('unsubscribed')
  } else if (message === 'end') {
    await client.quit()
  }
})
client.on('pmessage', (pattern, channel, message) => {
  console.log(JSON.stringify(['pmessage', pattern, channel, message]))
})
await client.subscribe('/first', '_action_cable_internal')
await client.psubscribe('/p/*')
console.log('ready')
