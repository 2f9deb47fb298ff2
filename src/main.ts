/**
 * `pgsteer`: arguments in, exit code out. Only the command that was named is loaded, so that
 * `version` does not wait for an etcd client. Exit codes: 0 ok, 1 failed, 2 wrong usage.
 */
import { Command, CommanderError } from 'commander'

type Load = () => Promise<Command>

const COMMANDS: Readonly<Record<string, { readonly says: string; readonly load: Load }>> = {
  run: {
    says: 'run the daemon',
    load: async () => (await import('./app/ctl/run.ts')).runCommand(),
  },
  check: {
    says: 'validate a configuration',
    load: async () => (await import('./app/ctl/check.ts')).checkCommand(),
  },
  demo: {
    says: 'run a whole local cluster with routers',
    load: async () => (await import('./app/ctl/demo.ts')).demoCommand(),
  },
  routes: {
    says: 'show where clients are sent now',
    load: async () => (await import('./app/ctl/routes.ts')).routesCommand(),
  },
  clients: {
    says: 'list the clients connected now',
    load: async () => (await import('./app/ctl/clients.ts')).clientsCommand(),
  },
  dsn: {
    says: 'print a connection URI',
    load: async () => (await import('./app/ctl/dsn.ts')).dsnCommand(),
  },
  version: {
    says: 'print the version',
    load: async () => (await import('./app/ctl/version.ts')).versionCommand(),
  },
}

const USAGE_ERROR = 2

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('pgsteer')
    .description('High availability for PostgreSQL where routing is part of the cluster.')
    .showHelpAfterError('(pgsteer --help shows what there is)')
  const words = args.filter((it) => !it.startsWith('-'))
  const named = words[0] === 'help' ? words[1] : words[0]
  for (const [name, { says, load }] of Object.entries(COMMANDS)) {
    const command = name === named ? await load() : new Command(name).description(says)
    command.exitOverride()
    program.addCommand(command)
  }
  program.exitOverride()
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    const isOurs = error.code === 'commander.error' || error.exitCode === 0
    process.exitCode = isOurs ? error.exitCode : USAGE_ERROR
  }
}

await main(process.argv.slice(2))
