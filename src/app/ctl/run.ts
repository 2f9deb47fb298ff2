/** `pgsteer run FILE`: the daemon in the foreground. */
import { Command } from 'commander'
import { runDaemon } from '../daemon.ts'
import { problemLine } from './check.ts'
import { CONFIG_FLAG, CONFIG_WORDS, configPath, guarded } from './common.ts'

export function runCommand(): Command {
  return new Command('run')
    .description(
      'run the daemon (SIGTERM: leave, SIGHUP: reload, SIGUSR2: hand over to a new version)',
    )
    .argument('[file]', CONFIG_WORDS)
    .option(CONFIG_FLAG, 'the same as an option')
    .action(
      guarded(async (file: string | undefined, flags: { config?: string }) => {
        const path = configPath(file ?? flags.config)
        const code = await runDaemon(path, {
          report(problems) {
            const colour = process.stderr.isTTY === true
            for (const it of problems) process.stderr.write(`${problemLine(path, it, colour)}\n`)
          },
        })
        process.exit(code) // sockets of a client that never lets go must not keep us
      }),
    )
}
