// node frameworks-redis.mjs HOST PORT PROTOCOL: what frameworks-ioredis.mjs does, with
// the other client.
import assert from 'node:assert/strict'
import { createClient } from 'redis'

const [host, port, protocol] = process.argv.slice(2)
const client = createClient({ socket: { host, port: Number(port) }, RESP: Number(protocol), name: 'framework' })
const subscriber = client.duplicate()
await Promise.all([client.connect(), subscriber.connect()])

assert.deepEqual(await client.multi().publish('/none', 'x').ping().exec(), [0, 'PONG'])
await client.watch('key')
assert.deepEqual(await client.multi().publish('/none', 'x').exec(), [0])
await assert.rejects(client.multi().set('a', 'b').publish('/none', 'x').exec())
assert.deepEqual(await client.multi().publish('/none', 'x').exec(), [0])

assert.equal((await client.role()).role, 'master')
assert.equal(await client.dbSize(), 0)
assert.equal(await client.exists(['a', 'b']), 0)
await client.time()
assert.ok('maxclients' in (await client.configGet('maxclients')))
assert.ok((await client.clientList()).some((c) => c.name === 'framework'))
assert.equal((await client.clientInfo()).name, 'framework')

const bytes = Buffer.from([0xff, 0x00, 0x0d, 0x0a, 0xfe])
const next = (subscribe, channel) => new Promise((resolve) => subscribe.call(subscriber, channel, resolve, true))
for (const channel of ['/binary', '/none']) {
  const message = next(subscriber.subscribe, channel)
  while ((await client.publish(channel, bytes)) === 0);
  assert.deepEqual(await message, bytes)
}
await assert.rejects(client.publish('/text', bytes), /PATTERN=base64.*PATTERN=none/)
const message = next(subscriber.sSubscribe, '/binary')
while ((await client.sPublish('/binary', bytes)) === 0);
assert.deepEqual(await message, bytes)
assert.deepEqual({ ...(await client.pubSubShardNumSub(['/binary'])) }, { '/binary': 1 })
assert.deepEqual(await client.pubSubShardChannels(), ['/binary'])
await subscriber.close()
await client.close()
console.log('ok')
