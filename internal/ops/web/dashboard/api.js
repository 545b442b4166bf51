// What the page asks of the server: requests and event streams, with the token
// where there is one.

const tokenKey = "millrace-ops-token";
let asking = null; // the question for a token that is open, as a promise

// askToken resolves when there is a token to try. Who asks meanwhile waits for
// the same one.
function askToken(wasWrong) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("sign-in");
    const input = document.getElementById("token");
    document.getElementById("sign-in-error").textContent = wasWrong ? "That is not the token." : "";
    dialog.addEventListener("cancel", (e) => e.preventDefault());
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(tokenKey, input.value);
      input.value = "";
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

// request is fetch with the token. It asks for one as long as there is no right
// one.
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(tokenKey);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch(path, { ...options, headers, cache: "no-store" });
    if (response.status !== 401) return response;
    await response.body?.cancel();
    if (token === sessionStorage.getItem(tokenKey)) await askToken(token !== null);
  }
}

// follow reads an event stream and calls on(type, data, id) for its events, and
// onState with "live", "lost" or an error's text. It connects again until signal is
// aborted. An EventSource would do that as well, but cannot bear a token.
export async function follow(path, { on, onState = () => {}, signal }) {
  for (let delay = 500; !signal?.aborted; delay = Math.min(2 * delay, 8000)) {
    try {
      const response = await request(path, { signal });
      if (!response.ok) throw new Error((await response.json()).error);
      onState("live");
      for await (const e of events(response.body)) {
        delay = 500;
        on(e.type, e.data, e.id);
      }
      onState("lost");
    } catch (err) {
      if (signal?.aborted) return;
      onState(err instanceof TypeError ? "lost" : err.message);
    }
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
}

// events takes an event stream apart (WHATWG HTML, 9.2.6).
async function* events(body) {
  let rest = "", type = "", data = [], id = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader(); // Safari cannot iterate over a stream
  for (;;) {
    const { value: chunk, done } = await reader.read();
    if (done) return;
    const lines = (rest + chunk).split("\n"); // the server ends lines so
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) yield { type: type || "message", data: data.join("\n"), id };
        type = "";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "event") type = value;
      else if (name === "data") data.push(value);
      else if (name === "id") id = value;
    }
  }
}
