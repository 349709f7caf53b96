import { appendFile, mkdir, mkdtemp, rename, rm, symlink, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createReader, type Reader, serviceYaml } from "../../../test/laws/source-laws.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import type { Source } from "../source.ts";
import { createFileSource, type FileSourceOptions } from "./file-source.ts";

let directory: string;
let reader: Reader;
let source: Source;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "meltemi-files-"));
  reader = createReader();
});
afterEach(async () => {
  await source.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(options: Partial<FileSourceOptions> = {}): Promise<void> {
  source = createFileSource({ directory, clock: systemClock, log: silentLog, watch: true, rescanMs: 200, ...options });
  await source.start(reader);
}

const at = (...parts: string[]): string => join(directory, ...parts);
const write = (name: string, text: string): Promise<void> => writeFile(at(name), text);
const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 8000, interval: 20 });
/** Long enough for several looks at the tree: for what must not happen. */
const pause = (): Promise<void> => new Promise((resolve) => void systemClock.after(600, resolve));

/** Texts of the problems, with paths below the directory. */
function problems(): readonly string[] {
  return reader.problems().map(({ text, position, object }) => {
    const where = position === undefined ? object.name : `${position.file}:${position.line}`;
    return `${where} ${text}`.replaceAll(`${directory}/`, "");
  });
}

test("reads a tree of YAML and JSON files in the order of their paths and passes over everything else", async () => {
  await mkdir(at("sub"));
  await write("b.yml", serviceYaml("b", 80));
  await write("a.yaml", serviceYaml("a", 80));
  await write(
    "sub/c.json",
    '{"apiVersion": "v1",\n\t"kind": "Service", "metadata": {"name": "c"}, "spec": {"ports": [{"port": 80}]}}',
  );
  await write("notes.txt", serviceYaml("x", 80));
  await write(".hidden.yaml", serviceYaml("y", 80));
  await start();
  const names = reader.changeSets[0]?.changes.map((change) => (change.type === "set" ? change.object.meta.name : ""));
  expect(names).toEqual(["a", "b", "c"]);
  expect(problems()).toEqual([]);
});

test("reads CRLF, a byte order mark, comments and empty documents", async () => {
  await write(
    "a.yaml",
    `\uFEFF# first\r\n---\r\n${serviceYaml("a", 80).replaceAll("\n", "\r\n")}# nothing\r\n---\r\n${serviceYaml("b", 80)}`,
  );
  await start();
  expect(reader.content()).toEqual(["Service default/a 80", "Service default/b 80"]);
  expect(problems()).toEqual([]);
});

test("a bad document names file and line and stops no other", async () => {
  await write("a.yaml", `${serviceYaml("a", 80)}kind: [Service\n---\n${serviceYaml("b", 80)}`);
  await start();
  expect(reader.content()).toEqual(["Service default/a 80", "Service default/b 80"]);
  expect(problems()).toHaveLength(1);
  expect(problems()[0]).toMatch(/^a\.yaml:9 is not valid YAML: /);
});

test("tabs as indentation are an error with a line", async () => {
  await write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n");
  await start();
  expect(problems()).toEqual(["a.yaml:4 is not valid YAML: Tabs are not allowed as indentation"]);
});

test("a bomb of aliases, a value within itself and a file that is too long are errors and cost nothing", async () => {
  const levels = Array.from(
    { length: 9 },
    (_, level) =>
      `a${level}: &a${level} [${Array(9)
        .fill(level === 0 ? "x" : `*a${level - 1}`)
        .join(",")}]\n`,
  );
  await write("a-bomb.yaml", levels.join(""));
  await write("b-loop.yaml", "kind: &x [*x, *x]\n");
  await write("c-long.yaml", "#".repeat(5000));
  await write("d.yaml", serviceYaml("d", 80));
  await start({ maxFileBytes: 4096 });
  expect(reader.content()).toEqual(["Service default/d 80"]);
  expect(problems()).toEqual([
    "a-bomb.yaml:1 cannot be read as YAML: Excessive alias count indicates a resource exhaustion attack",
    "b-loop.yaml:1 holds an alias of a value within itself",
    "c-long.yaml is longer than 4096 bytes and is not read",
  ]);
});

test("an object in two files is an error that names both; the first path counts, and the other when that is gone", async () => {
  await write("a.yaml", serviceYaml("x", 80));
  await write("b.yaml", serviceYaml("x", 81));
  await start();
  expect(reader.content()).toEqual(["Service default/x 80"]);
  expect(problems()).toEqual(["b.yaml:1 is already given in a.yaml:1, which counts; this one is left out"]);
  await unlink(at("a.yaml"));
  await eventually(() => expect(reader.content()).toEqual(["Service default/x 81"]));
  expect(problems()).toEqual([]);
});

test("survives editors that write a new file and rename it over the old one", async () => {
  await write("a.yaml", serviceYaml("a", 80));
  await start();
  for (const port of [81, 82]) {
    await write("a.yaml.tmp", serviceYaml("a", port));
    await rename(at("a.yaml.tmp"), at("a.yaml"));
    await eventually(() => expect(reader.content()).toEqual([`Service default/a ${port}`]));
  }
  expect(reader.changeSets.flatMap((changeSet) => changeSet.changes).some((change) => change.type === "deleted")).toBe(
    false,
  );
});

test("still hears of a file that was replaced by renaming, and of files in new directories", async () => {
  await write("a.yaml", serviceYaml("a", 80));
  // So seldom that only events can be what is heard.
  await start({ rescanMs: 3_600_000 });
  await write("a.yaml.tmp", serviceYaml("a", 81));
  await rename(at("a.yaml.tmp"), at("a.yaml"));
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 81"]));
  await write("a.yaml", serviceYaml("a", 82));
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 82"]));
  await mkdir(at("new"));
  await write("new/b.yaml", serviceYaml("b", 80));
  await eventually(() => expect(reader.content()).toHaveLength(2));
  await write("new/b.yaml", serviceYaml("b", 81));
  await eventually(() => expect(reader.content()).toContain("Service default/b 81"));
});

test("a file that is emptied and written again at once never looks deleted", async () => {
  await write("a.yaml", serviceYaml("a", 80) + serviceYaml("b", 80));
  // Far longer than the gap between the two writes, also on a machine that is busy.
  await start({ settleMs: 400 });
  for (let port = 81; port < 90; port++) {
    await write("a.yaml", "");
    await new Promise((resolve) => setImmediate(resolve));
    await write("a.yaml", serviceYaml("a", port) + serviceYaml("b", 80));
  }
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 89", "Service default/b 80"]));
  expect(reader.changeSets.flatMap((changeSet) => changeSet.changes).some((change) => change.type === "deleted")).toBe(
    false,
  );
});

test("a file that stays empty deletes its objects, one that is cut off in the middle keeps them", async () => {
  const text = serviceYaml("a", 80) + serviceYaml("b", 80);
  await write("a.yaml", text);
  await write("b.yaml", serviceYaml("c", 80));
  await start();
  await write("a.yaml", `${serviceYaml("a", 80)}apiVersion: v1\nkind: Service\nmetadata: {name`);
  await eventually(() => expect(problems()).toHaveLength(1));
  expect(reader.content()).toEqual(["Service default/a 80", "Service default/b 80", "Service default/c 80"]);
  await write("a.yaml", "");
  await eventually(() => expect(reader.content()).toEqual(["Service default/c 80"]));
  expect(problems()).toEqual([]);
});

test("a mounted ConfigMap: links through ..data, swapped as a whole", async () => {
  await mkdir(at("..1"));
  await writeFile(at("..1", "a.yaml"), serviceYaml("a", 80));
  await symlink("..1", at("..data"));
  await symlink("..data/a.yaml", at("a.yaml"));
  await start();
  expect(reader.content()).toEqual(["Service default/a 80"]);
  await mkdir(at("..2"));
  await writeFile(at("..2", "a.yaml"), serviceYaml("a", 81));
  await symlink("..2", at("..data_tmp"));
  await rename(at("..data_tmp"), at("..data"));
  await rm(at("..1"), { recursive: true });
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 81"]));
  expect(problems()).toEqual([]);
});

test("a link that leads in a circle ends, and a file that cannot be looked at keeps its objects", async () => {
  await write("a.yaml", serviceYaml("a", 80));
  await symlink(".", at("loop"));
  await start();
  expect(reader.content()).toEqual(["Service default/a 80"]);
  await unlink(at("a.yaml"));
  await symlink("a.yaml", at("a.yaml"));
  await eventually(() => expect(problems()).toHaveLength(1));
  expect(problems()[0]).toContain("a.yaml cannot be read, its last content stays: ELOOP");
  expect(reader.content()).toEqual(["Service default/a 80"]);
});

test("a directory that vanishes keeps the last content and says so; when it returns, changes are seen again", async () => {
  await write("a.yaml", serviceYaml("a", 80));
  await start();
  await rename(directory, `${directory}-away`);
  await eventually(() => expect(problems()).toHaveLength(1));
  expect(reader.content()).toEqual(["Service default/a 80"]);
  await mkdir(directory);
  await write("a.yaml", serviceYaml("a", 81));
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 81"]));
  expect(problems()).toEqual([]);
  await write("b.yaml", serviceYaml("b", 80));
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 81", "Service default/b 80"]));
  await rm(`${directory}-away`, { recursive: true });
});

test("a change that keeps size and time is seen", async () => {
  await write("a.yaml", serviceYaml("a", 80));
  const past = 1_700_000_000;
  await utimes(at("a.yaml"), past, past);
  await start();
  await write("a.yaml", serviceYaml("a", 81));
  await utimes(at("a.yaml"), past, past);
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 81"]));
});

test("a file that is written without end does not hold up the others", async () => {
  await write("busy.yaml", "# \n");
  await start();
  const writing = systemClock.every(10, () => void appendFile(at("busy.yaml"), "# more\n").catch(() => undefined));
  await write("a.yaml", serviceYaml("a", 80));
  await eventually(() => expect(reader.content()).toEqual(["Service default/a 80"]));
  writing.close();
});

test("without watching nothing is read after the start", async () => {
  await write("a.yaml", serviceYaml("a", 80));
  await start({ watch: false });
  await write("a.yaml", serviceYaml("a", 81));
  await pause();
  expect(reader.content()).toEqual(["Service default/a 80"]);
});

test("start() fails for a directory that does not exist", async () => {
  source = createFileSource({ directory: at("none"), clock: systemClock, log: silentLog, watch: true });
  await expect(source.start(reader)).rejects.toThrow("ENOENT");
  expect(reader.changeSets).toEqual([]);
});

test("objects carry file, line and column", async () => {
  await write("a.yaml", `# comment\n${serviceYaml("a", 80)}${serviceYaml("b", 80)}`);
  await start();
  const places = reader.changeSets[0]?.changes.map((change) =>
    change.type === "set" ? change.object.position : undefined,
  );
  expect(places).toEqual([
    { file: at("a.yaml"), line: 2, column: 1 },
    { file: at("a.yaml"), line: 10, column: 1 },
  ]);
});
