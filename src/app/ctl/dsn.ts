/** `pgsteer dsn`: a connection string for the listeners of a configuration. */
import { Command, Option } from 'commander'
import { buildDsn, type DsnRole } from '../../core/api/dsn.ts'
import type { Config } from '../../core/config/index.ts'
import {
  CONFIG_FLAG,
  CONFIG_WORDS,
  CommandError,
  configPath,
  guarded,
  loadForCommand,
  print,
  printJson,
} from './common.ts'

type Flags = { config?: string; role: DsnRole; json?: true }

export function dsnCommand(): Command {
  const role = new Option('-r, --role <role>', 'what to connect to')
  return new Command('dsn')
    .description('print a libpq connection URI for the router')
    .option(CONFIG_FLAG, CONFIG_WORDS)
    .addOption(role.choices(['primary', 'replica', 'any']).default('primary'))
    .option('--json', 'print one JSON object')
    .action(
      guarded((flags: Flags) => {
        const { config } = loadForCommand(configPath(flags.config))
        const listeners = config.router?.listeners ?? []
        const found = buildDsn(
          listeners.map(({ name, target, listen }) => ({ name, target, addresses: listen })),
          flags.role,
          ownHost(config),
        )
        if (found === null) throw new CommandError(`no listener for ${flags.role}`)
        if (flags.json) printJson({ role: flags.role, ...found })
        else print(`${found.uri}\n`)
      }),
    )
}

/** The host others know this node by, where the listener itself says only "all addresses". */
function ownHost({ restapi }: Config): string {
  const host = restapi?.connectAddress.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '') ?? ''
  return ['', '*', '0.0.0.0', '::'].includes(host) ? 'localhost' : host
}
