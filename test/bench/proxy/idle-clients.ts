/** Many sessions that have logged in and wait: raw sockets, as cheap for us as they can be. */
import { connect, type Socket } from 'node:net'

const AT_ONCE = 50
const LOGIN_LIMIT_MS = 30_000
const READY_FOR_QUERY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

export type IdleClients = { readonly count: number; close(): Promise<void> }

/** Opens them all, a few at a time. Rejects when one does not get in. */
export async function openIdleClients(port: number, count: number): Promise<IdleClients> {
  const sockets: Socket[] = []
  const turns = Array.from({ length: AT_ONCE }, async (_, turn) => {
    for (let at = turn; at < count; at += AT_ONCE) sockets.push(await login(port))
  })
  const close = async () => {
    const gone = sockets.map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    )
    for (const socket of sockets) socket.destroy()
    await Promise.all(gone)
  }
  try {
    await Promise.all(turns)
  } catch (error) {
    await close()
    throw error
  }
  return { count, close }
}

function login(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(startupPacket()))
    let answer = Buffer.alloc(0)
    const fail = (why: string) => {
      socket.destroy()
      reject(new Error(`an idle client on port ${port} did not get in: ${why}`))
    }
    const late = setTimeout(() => fail('no answer in time'), LOGIN_LIMIT_MS)
    const onClose = () => fail(`closed after ${answer.toString('latin1').slice(0, 200)}`)
    socket.on('error', () => undefined) // followed by close
    socket.once('close', onClose)
    const onData = (bytes: Buffer) => {
      answer = Buffer.concat([answer, bytes])
      if (!answer.subarray(-READY_FOR_QUERY.length).equals(READY_FOR_QUERY)) return
      clearTimeout(late)
      socket.off('close', onClose)
      socket.off('data', onData)
      resolve(socket)
    }
    socket.on('data', onData)
  })
}

function startupPacket(): Buffer {
  const body = Buffer.from(
    '\0\x03\0\0user\0postgres\0database\0postgres\0application_name\0idle\0\0',
  )
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length + 4)
  return Buffer.concat([size, body])
}
