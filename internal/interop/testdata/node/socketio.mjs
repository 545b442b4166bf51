// node socketio.mjs HOST PORT ADAPTER: a server of Socket.IO, by its Redis adapter, or
// the one of shards, and a browser's half of one connection to it. "emit TEXT" on stdin
// has all sockets of all servers told, "count" prints how many there are.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'

const [host, port, adapter] = process.argv.slice(2)
let pub, sub
if (adapter === 'sharded') {
  pub = createClient({ socket: { host, port: Number(port) } })
  sub = pub.duplicate()
  await Promise.all([pub.connect(), sub.connect()])
} else {
  pub = new Redis({ host, port })
  sub = pub.duplicate()
}
const http = createServer()
const io = new Server(http, { adapter: adapter === 'sharded' ? createShardedAdapter(pub, sub) : createAdapter(pub, sub) })
io.on('connection', (socket) => socket.join('room'))
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))

const client = connect(`http://127.0.0.1:${http.address().port}`, { transports: ['websocket'] })
client.on('news', (text, bytes) => console.log('news', text, bytes.toString('hex')))
client.on('connect', () => console.log('ready'))
for await (const line of createInterface({ input: process.stdin })) {
  const [command, text] = line.split(' ')
  if (command === 'emit') {
    io.to('room').emit('news', text, Buffer.from([0xff, 0x00, 0x0a]))
  } else {
    console.log('count', (await io.fetchSockets()).length)
  }
}
process.exit(0)
