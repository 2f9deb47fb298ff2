/** `pgsteer routes`: where each listener of the local daemon sends its clients now. */
import { Command } from 'commander'
import type { RouterReport } from '../../core/api/router-report.ts'
import { formatRoutes } from '../../core/api/router-text.ts'
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

export function routesCommand(): Command {
  return new Command('routes')
    .description('show where clients are sent now, and why they are held')
    .option(CONFIG_FLAG, CONFIG_WORDS)
    .option('--json', 'print one JSON object')
    .action(
      guarded(async (flags: { config?: string; json?: true }) => {
        const loaded = loadForCommand(configPath(flags.config))
        const report = await askDaemon<RouterReport>(loaded, '/router')
        if (flags.json) printJson(report)
        else print(formatRoutes(report))
      }),
    )
}
