#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets as far as telling what is missing.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`meltemi-proxy needs Node 22.19 or newer; this is Node ${process.versions.node}.\n`);
  process.exit(1);
}
// From the second start on the compiled sources are kept, in the system's folder for temporary files or in
// NODE_COMPILE_CACHE. Where nothing can be written nothing is kept.
const { enableCompileCache } = await import("node:module");
enableCompileCache?.();
// In the repository the sources run as they are, from Node 22.19 on. An installed package has them compiled, as Node strips no
// types there.
const { existsSync } = await import("node:fs");
const sources = new URL("./main.ts", import.meta.url);
const program = existsSync(sources) ? sources : new URL("../../dist/cli/main.js", import.meta.url);
const { runCommandLine } = await import(program.href);
process.exitCode = await runCommandLine(process.argv.slice(2));
