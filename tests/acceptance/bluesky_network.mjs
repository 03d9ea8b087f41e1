// A Bluesky network on loopback, by @atproto/dev-env: an account server (PDS) and an AppView, with what they need.
// Says where it is in the file given, and runs until it is told to end. Run by bluesky.sh.
import { writeFileSync } from 'node:fs'
import { TestNetwork } from '@atproto/dev-env'

const network = await TestNetwork.create({ dbPostgresSchema: 'monitor' })
writeFileSync(process.argv[2], network.pds.url)
process.on('SIGINT', () => network.close().finally(() => process.exit(0)))
