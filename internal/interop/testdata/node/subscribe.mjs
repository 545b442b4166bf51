// node subscribe.mjs URL TYPE...: prints every event of these types that an
// EventSource receives, each as a line of JSON, until it is killed.
import { EventSource } from 'eventsource'

const [url, ...types] = process.argv.slice(2)
const source = new EventSource(url)
for (const type of types) {
  source.addEventListener(type, (event) => {
    console.log(JSON.stringify({ ID: event.lastEventId, Type: event.type, Data: event.data }))
  })
}
source.addEventListener('error', (event) => {
  if (source.readyState === EventSource.CLOSED) {
    console.error(`closed for good: ${event.code} ${event.message}`)
    process.exit(1)
  }
})
