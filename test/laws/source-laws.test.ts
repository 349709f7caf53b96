import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { ObjectRef } from "../../src/lib/message.ts";
import { parseContent } from "../../src/sources/content.ts";
import { createFileSource } from "../../src/sources/file/file-source.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { createOverlaidSource } from "../../src/sources/overlay.ts";
import { createSelectedSource } from "../../src/sources/selection.ts";
import type { Source } from "../../src/sources/source.ts";
import { defineSourceLaws, type SourceRig } from "./source-laws.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A memory source that is written part by part, as files are, behind what `wrap` puts around it. */
async function createMemoryRig(wrap: (source: Source) => Source): Promise<SourceRig> {
  const source = createMemorySource();
  const parts = new Map<string, readonly ObjectRef[]>();
  return {
    source: wrap(source),
    async write(part, text) {
      const content = parseContent(text, part);
      const refs = [...content.objects.values()].map(({ kind, meta }) => ({
        kind,
        namespace: meta.namespace,
        name: meta.name,
      }));
      const named = [...refs, ...content.messages.map((message) => message.object)];
      const isNamed = (ref: ObjectRef) => named.some((other) => other.kind === ref.kind && other.name === ref.name);
      const gone = (parts.get(part) ?? []).filter((ref) => !isNamed(ref));
      parts.set(part, named);
      source.apply(text);
      if (gone.length > 0) source.delete(...gone);
    },
    settle: async () => undefined,
    close: async () => undefined,
  };
}

describe("the memory source", () => {
  defineSourceLaws(() => createMemoryRig((source) => source));
});

describe("a source of which a part is selected", () => {
  defineSourceLaws(() => createMemoryRig((source) => createSelectedSource(source, { revision: "default" })));
});

describe("a source with something laid over it", () => {
  defineSourceLaws(() => createMemoryRig((source) => createOverlaidSource(source)));
});

describe("the file source", () => {
  defineSourceLaws(async () => {
    const directory = await mkdtemp(join(tmpdir(), "meltemi-laws-"));
    return {
      source: createFileSource({ directory, clock: systemClock, log: silentLog, watch: true, rescanMs: 100 }),
      write: (part, text) => writeFile(join(directory, `${part}.yaml`), text),
      settle: () => pause(400),
      close: () => rm(directory, { recursive: true }),
    };
  });
});
