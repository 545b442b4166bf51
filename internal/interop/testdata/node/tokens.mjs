// Prints tokens of each algorithm, made by jsonwebtoken or by jose:
// tokens.mjs LIBRARY DIRECTORY CLAIMS...
import {readFileSync} from 'node:fs'
import {createPrivateKey} from 'node:crypto'

const [library, directory, ...texts] = process.argv.slice(2)
const read = (name) => readFileSync(`${directory}/${name}`, 'utf8')
const keys = {HS256: 'secret', RS256: 'rsa.pem', PS256: 'rsa.pem', ES256: 'ec.pem'}

if (library === 'jsonwebtoken') {
  const {default: jwt} = await import('jsonwebtoken')
  for (const [algorithm, name] of Object.entries(keys)) {
    for (const text of texts) console.log(algorithm, jwt.sign(JSON.parse(text), read(name), {algorithm}))
  }
} else {
  const {SignJWT} = await import('jose')
  for (const [algorithm, name] of Object.entries({...keys, EdDSA: 'ed.pem'})) {
    const key = name === 'secret' ? new TextEncoder().encode(read(name)) : createPrivateKey(read(name))
    for (const text of texts) {
      const token = new SignJWT(JSON.parse(text)).setProtectedHeader({alg: algorithm, kid: 'mine', typ: 'JWT'})
      console.log(algorithm, await token.sign(key))
    }
  }
}
