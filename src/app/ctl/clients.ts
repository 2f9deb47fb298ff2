/** `pgsteer clients`: who is connected to the local daemon now. */
import { Command } from 'commander'
import { formatClients } from '../../core/api/router-text.ts'
import type { ClientInfo } from '../../core/fleet/messages.ts'
import {
  askDaemon,
  CONFIG_FLAG,
  CONFIG_WORDS,
  configPath,
  guarded,
  loadForCommand,
  print,
  printJson,
} from './common.ts'

type Flags = { config?: string; listener?: string; state?: string; json?: true }

export function clientsCommand(): Command {
  return new Command('clients')
    .description('list the clients connected now')
    .option(CONFIG_FLAG, CONFIG_WORDS)
    .option('--listener <name>', 'only those of one listener')
    .option('--state <state>', 'only those in one state, such as held')
    .option('--json', 'print one JSON object')
    .action(
      guarded(async (flags: Flags) => {
        const loaded = loadForCommand(configPath(flags.config))
        const query = new URLSearchParams()
        if (flags.listener !== undefined) query.set('listener', flags.listener)
        if (flags.state !== undefined) query.set('state', flags.state)
        const path = `/clients?${query}`
        const list = await askDaemon<{ clients: ClientInfo[] }>(loaded, path)
        if (flags.json) printJson(list)
        else print(formatClients(list.clients))
      }),
    )
}
