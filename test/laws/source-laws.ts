/** What every source of objects must keep, whatever is behind it (src/sources/source.ts). */
import { expect, test } from "vitest";
import { formatObjectRef, type Message } from "../../src/lib/message.ts";
import type { ChangeSet, Source, SourceSink } from "../../src/sources/source.ts";

/** One source under test and the means to change what it reads. A part is a text with YAML documents. */
export interface SourceRig {
  readonly source: Source;
  /** Makes the part hold this text; objects that the part held before and does not any more are gone. */
  write(part: string, text: string): Promise<void>;
  /** Resolves when the source has surely seen everything that was written, and had time to say too much. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** A reader that applies change sets in order, as the mesh does. */
export interface Reader extends SourceSink {
  readonly changeSets: readonly ChangeSet[];
  /** Names of the objects, such as "Service default/a", with the port of the first one's spec: sorted. */
  content(): readonly string[];
  problems(): readonly Message[];
}

export function createReader(): Reader {
  const changeSets: ChangeSet[] = [];
  const objects = new Map<string, string>();
  return {
    changeSets,
    apply(changeSet) {
      changeSets.push(changeSet);
      for (const change of changeSet.changes) {
        if (change.type === "deleted") objects.delete(formatObjectRef(change.ref));
        else {
          const ref = { kind: change.object.kind, ...change.object.meta };
          const port = change.object.kind === "Service" ? ` ${change.object.spec.ports[0]?.port}` : "";
          objects.set(formatObjectRef(ref), `${formatObjectRef(ref)}${port}`);
        }
      }
    },
    content: () => [...objects.values()].sort(),
    problems: () => changeSets.at(-1)?.problems ?? [],
  };
}

export function serviceYaml(name: string, port: number | string): string {
  return `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  ports:\n  - port: ${port}\n---\n`;
}

/** Defines one test for each law. */
export function defineSourceLaws(createRig: () => Promise<SourceRig>): void {
  const law = (name: string, run: (rig: SourceRig, reader: Reader) => Promise<void>) =>
    test(name, async () => {
      const rig = await createRig();
      try {
        await run(rig, createReader());
      } finally {
        await rig.source.stop();
        await rig.close();
      }
    });

  law("the first change set is the whole content, and start() waits for it", async (rig, reader) => {
    await rig.write("a", serviceYaml("a", 80) + serviceYaml("b", 80));
    await rig.write("b", serviceYaml("c", 80));
    await rig.source.start(reader);
    expect(reader.changeSets[0]?.changes).toHaveLength(3);
    expect(reader.content()).toEqual(["Service default/a 80", "Service default/b 80", "Service default/c 80"]);
  });

  law("the first change set comes also where there is nothing", async (rig, reader) => {
    await rig.source.start(reader);
    expect(reader.changeSets).toEqual([{ changes: [], problems: [] }]);
  });

  law("later change sets lead to the content as it is", async (rig, reader) => {
    await rig.write("a", serviceYaml("a", 80) + serviceYaml("b", 80));
    await rig.source.start(reader);
    await rig.write("a", serviceYaml("a", 81) + serviceYaml("c", 80));
    await rig.settle();
    await rig.write("b", serviceYaml("d", 80));
    await rig.settle();
    expect(reader.content()).toEqual(["Service default/a 81", "Service default/c 80", "Service default/d 80"]);
  });

  law("no change, no call", async (rig, reader) => {
    await rig.write("a", serviceYaml("a", 80));
    await rig.source.start(reader);
    await rig.settle();
    await rig.write("a", serviceYaml("a", 80));
    await rig.settle();
    expect(reader.changeSets).toHaveLength(1);
  });

  law("an object that is deleted is gone after one call, and the others were not touched", async (rig, reader) => {
    await rig.write("a", serviceYaml("a", 80) + serviceYaml("b", 80));
    await rig.source.start(reader);
    await rig.write("a", serviceYaml("a", 80));
    await rig.settle();
    const deletions = reader.changeSets.slice(1).flatMap((changeSet) => changeSet.changes);
    expect(deletions).toEqual([{ type: "deleted", ref: { kind: "Service", namespace: "default", name: "b" } }]);
  });

  law(
    "an object that turns bad is reported and stays as it was, and comes back when it is good",
    async (rig, reader) => {
      await rig.write("a", serviceYaml("a", 80) + serviceYaml("b", 80));
      await rig.source.start(reader);
      await rig.write("a", serviceYaml("a", "eighty") + serviceYaml("b", 81));
      await rig.settle();
      expect(reader.content()).toEqual(["Service default/a 80", "Service default/b 81"]);
      expect(reader.problems().map(({ level, path }) => [level, path])).toContainEqual(["error", "spec.ports[0].port"]);
      await rig.write("a", serviceYaml("a", 82) + serviceYaml("b", 81));
      await rig.settle();
      expect(reader.content()).toEqual(["Service default/a 82", "Service default/b 81"]);
      expect(reader.problems()).toEqual([]);
    },
  );

  law("the list of problems is complete in every change set", async (rig, reader) => {
    await rig.write("a", serviceYaml("a", "x"));
    await rig.source.start(reader);
    await rig.write("b", serviceYaml("b", "y"));
    await rig.settle();
    await rig.write("c", serviceYaml("c", 80));
    await rig.settle();
    expect(new Set(reader.problems().map((message) => message.object.name))).toEqual(new Set(["a", "b"]));
  });

  law("after stop() nothing is called any more", async (rig, reader) => {
    await rig.write("a", serviceYaml("a", 80));
    await rig.source.start(reader);
    await rig.source.stop();
    const calls = reader.changeSets.length;
    await rig.write("a", serviceYaml("a", 81));
    await rig.settle();
    expect(reader.changeSets).toHaveLength(calls);
  });
}
