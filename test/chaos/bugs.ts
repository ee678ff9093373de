import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** A replacement in a compiled file. */
interface Patch {
  file: string
  find: string
  replace: string
}

/** Bugs that a service like this one may well have, to see that the checker finds them. */
export const BUGS = {
  /** One message in a thousand is not delivered: counted, as chance could spare them all. */
  'drop-one-in-a-thousand': [{
    file: 'src/hub/room.js',
    find: 'const { fields, bytes, time, exclude } = envelope;',
    replace: `const { fields, bytes, time, exclude } = envelope;
          if ((globalThis.deliveries = (globalThis.deliveries ?? 0) + 1) % 1000 === 0) return;`
  }],
  /** A publish that takes long is answered before it is written, with the position that it will have if all goes well. */
  'answer-before-it-is-written': [{
    file: 'src/broker/redis.js',
    find: 'async publish(publication) {',
    replace: `async publish(publication) {
        const written = this.publishAndWait(publication);
        const last = this.#subscriptions.get(this.#keys.channel(publication.room))?.last;
        if (last === undefined) return await written;
        written.catch(() => {});
        const early = { position: { epoch: last.epoch, offset: last.offset + 1 }, time: Date.now(), audience: 0, replayed: false };
        return await Promise.race([written, new Promise((resolve) => setTimeout(resolve, 50, early))]);
    }
    async publishAndWait(publication) {`
  }],
  /** Who comes back is given what history held before the room was subscribed. */
  'read-before-subscribing': [{
    file: 'src/rooms/membership.js',
    find: 'const { room, release } = this.#open(roomName);',
    replace: `const { Batch, RoomFrame } = await import('../transport/batch.js');
        const page = since === undefined
            ? undefined
            : await broker.history(roomName, { after: since.offset, epoch: since.epoch, limit: 300, maxBytes: 500_000 });
        const { room, release } = this.#open(roomName);`
  }, {
    file: 'src/rooms/membership.js',
    find: 'resume = resumes.begin(room, connection, since);',
    replace: `const batchesOf = ({ messages }) => messages.length === 0
                    ? []
                    : [new Batch(messages.map((message) => RoomFrame.ofMessage(room.label, message, since.epoch)))];
                resume = {
                    read: async () => {},
                    end: () => {},
                    result: () => page.recovered && page.next === undefined && room.position?.epoch === since.epoch
                        ? { recovered: true, count: page.messages.length, batches: batchesOf(page) }
                        : { recovered: false, count: 0, batches: [] }
                };`
  }]
} as const satisfies Record<string, readonly Patch[]>

export type BugName = keyof typeof BUGS

/** Copies what was compiled, with a bug in it; returns the program of an instance. */
export async function seedBug (name: BugName): Promise<string> {
  const folder = join(ROOT, 'node_modules/.cache/roomcast-bugs', name)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'))
  for (const part of ['src', 'plugins', 'routes']) await cp(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true })
  for (const { file, find, replace } of BUGS[name] as readonly Patch[]) {
    const path = join(folder, 'dist', file)
    const code = await readFile(path, 'utf8')
    if (code.split(find).length !== 2) throw new Error(`${file} has not exactly one place for the bug ${name}`)
    await writeFile(path, code.replace(find, () => replace))
  }
  return join(folder, 'dist/src/server.js')
}
