/** What the commands share: finding the configuration, asking the local daemon, printing, failing. */
import { existsSync } from 'node:fs'
import type { Config } from '../../core/config/index.ts'
import { type Loaded, loadConfig } from '../../io/files/config-file.ts'
import { getJson } from '../../io/http/rest-client.ts'
import { peerTls } from '../control/settings.ts'
import { problemLine } from './check.ts'

/** A failure that is told in one line; the exit code is 1. */
export class CommandError extends Error {}

export const CONFIG_FLAG = '-c, --config <file>'
export const CONFIG_WORDS =
  'configuration (default: $PGSTEER_CONFIG, ./node.yml, /etc/pgsteer/node.yml)'
const CONFIG_PLACES = ['node.yml', '/etc/pgsteer/node.yml']

/** The configuration file meant by `-c`, or the first of the usual ones. */
export function configPath(flag: string | undefined): string {
  const given = flag ?? process.env['PGSTEER_CONFIG']
  if (given !== undefined && given !== '') return given
  const found = CONFIG_PLACES.find((path) => existsSync(path))
  if (found === undefined) throw new CommandError('no configuration found, name one with -c')
  return found
}

/** Loads for a command; warnings are the daemon's business. Throws with all errors. */
export function loadForCommand(path: string): Loaded & { config: Config } {
  const loaded = loadConfig(path, process.env, 'ctl')
  const { config, problems } = loaded
  if (config === null) {
    const lines = problems.map((it) => problemLine(path, it, false))
    throw new CommandError(lines.join('\n'))
  }
  return { ...loaded, config }
}

/** GET `path` of the daemon that runs with this configuration. */
export async function askDaemon<T>(loaded: Loaded & { config: Config }, path: string): Promise<T> {
  const { config, files } = loaded
  if (config.restapi === null) throw new CommandError('the configuration has no restapi section')
  const { host, port } = config.restapi.listen
  const scheme = config.restapi.certFile === null ? 'http' : 'https'
  const url = `${scheme}://${urlHost(reachable(host))}:${port}`
  const reply = await getJson(url, path, peerTls(config, files))
  if (reply.kind === 'failed') {
    throw new CommandError(`no answer from the daemon at ${url}: ${reply.why}`)
  }
  return reply.body as T
}

/** Runs an action; a `CommandError` is printed and ends in exit code 1. */
export function guarded<A extends unknown[]>(action: (...args: A) => Promise<void> | void) {
  return async (...args: A): Promise<void> => {
    try {
      await action(...args)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      process.stderr.write(`pgsteer: ${error.message}\n`)
      process.exitCode = 1
    }
  }
}

export function print(text: string): void {
  process.stdout.write(text)
}

export function printJson(value: unknown): void {
  print(`${JSON.stringify(value)}\n`)
}

/** Where to dial a server that listens on all addresses. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' || host === '*' ? 'localhost' : host
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
