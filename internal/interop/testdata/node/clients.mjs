// Clients of event streams. Each opens url and calls on(type, data, id) for all that it
// hands on of these types, or of any, whether somebody has published it or not.
const types = ['message', 'millrace.start', 'millrace.gap']

export function eventSource(EventSource, url, on) {
  const source = new EventSource(url)
  for (const type of types) {
    source.addEventListener(type, (event) => on(event.type, event.data, event.lastEventId))
  }
  source.addEventListener('error', () => {
    if (source.readyState === 2) on('error', 'closed for good')
  })
}

export function fetchSource(fetchEventSource, url, on) {
  fetchEventSource(url, {
    openWhenHidden: true,
    onmessage: (event) => on(event.event, event.data, event.id),
    onclose: () => { throw new Error('the stream has ended') }, // or it would not come back
    onerror: () => {},
  })
}

export function clientSource(createEventSource, url, on) {
  createEventSource({ url, onMessage: (event) => on(event.event, event.data, event.id) })
}

// reporter returns a function that tells the test at url what a client hands on, in
// order.
export function reporter(url) {
  let last = Promise.resolve()
  return (client) => (type = '', data = '', id = '') => {
    const body = JSON.stringify({ client, type, data, id })
    last = last.then(() => fetch(url, { method: 'POST', body }))
  }
}
