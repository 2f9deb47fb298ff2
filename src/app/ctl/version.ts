/** `pgsteer version`. */
import { Command } from 'commander'
import { packageVersion } from '../version.ts'

export function versionCommand(): Command {
  return new Command('version')
    .description('print the version')
    .option('--json', 'print one JSON object')
    .action((flags: { json?: true }) => {
      const version = packageVersion()
      const report = { pgsteer: version, node: process.versions.node }
      process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : `pgsteer ${version}\n`)
    })
}
