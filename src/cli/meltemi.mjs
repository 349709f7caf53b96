#!/usr/bin/env -S node --max-semi-space-size=16
// Two halves of 16 MB for young objects: left to itself, V8 takes what suits the machine's memory, 128 MB on most, for a
// program whose next hundred megabytes serve a thousand proxies. Wherever Meltemi is started by Node's name, this goes along.
// Plain JavaScript, so that an old Node gets as far as telling what is missing: the program itself is TypeScript, which
// Node runs directly from 22.19 on.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `meltemi needs Node 22.19 or newer; this is Node ${process.versions.node}.\n` +
      "In a checkout, `npm run meltemi -- ...` uses the Node that `npm ci` installs beside it.\n",
  );
  process.exit(1);
}
// Half of the time until the program runs is spent on reading its sources; from the second start on this is kept, in the
// system's folder for temporary files or in NODE_COMPILE_CACHE. Where nothing can be written nothing is kept.
const { enableCompileCache } = await import("node:module");
enableCompileCache?.();
const { runCommandLine } = await import("./main.ts");
process.exitCode = await runCommandLine(process.argv.slice(2));
