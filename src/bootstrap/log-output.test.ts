import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { createLogOutput, type LogStream } from "./log-output.ts";

/** A stream of a file whose disk is full: it fails at the first line and is given up then, as process.stdout is. */
function createFullStream(fd: number): LogStream & { fd: number } {
  const stream = new Writable({ write: (_bytes, _encoding, done) => done(new Error("ENOSPC: no space left")) });
  return Object.assign(stream, { fd });
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("lines are written as they come", () => {
  const lines: string[] = [];
  const stream = new Writable({ write: (bytes, _encoding, done) => done(void lines.push(String(bytes)) as undefined) });
  const complaints: string[] = [];
  const write = createLogOutput(stream, (text) => void complaints.push(text));
  write("one\n");
  write("two\n");
  expect([lines, complaints]).toEqual([["one\n", "two\n"], []]);
});

test("a full disk costs lines, is told once, and is written again when it has space", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-log-"));
  const file = join(folder, "log");
  const full = openSync("/dev/full", "w");
  const complaints: string[] = [];
  const stream = createFullStream(full);
  const write = createLogOutput(stream, (text) => void complaints.push(text));
  write("one\n");
  await settle();
  write("two\n");
  write("three\n");
  expect(complaints).toEqual([expect.stringContaining("ENOSPC: no space left")]);
  // Space again: the same descriptor writes.
  const roomy = openSync(file, "w");
  stream.fd = roomy;
  write("four\n");
  write("five\n");
  expect(readFileSync(file, "utf8")).toBe("3 lines of the log were lost before this one\nfour\nfive\n");
  for (const fd of [full, roomy]) closeSync(fd);
  rmSync(folder, { recursive: true });
});
