/** Child process: follows `argv[2]`, closes when its input ends, then must exit by itself. */
import { openFollower } from '../../../src/io/etcd/follower.ts'
import { PREFIX, plainSettings } from './following.ts'

const follower = openFollower(plainSettings(process.argv.slice(2)), PREFIX, {
  onSnapshot: () => {},
  onHealth: ({ kind }) => process.stdout.write(`${kind}\n`),
})
process.stdin.resume().once('end', async () => {
  await follower.close()
  process.stdout.write('closed\n')
})
