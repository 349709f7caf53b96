#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets as far as telling what is missing: the program itself is TypeScript, which
// Node runs directly from 22.19 on.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`meltemi-proxy needs Node 22.19 or newer; this is Node ${process.versions.node}.\n`);
  process.exit(1);
}
// From the second start on the compiled sources are kept, in the system's folder for temporary files or in
// NODE_COMPILE_CACHE. Where nothing can be written nothing is kept.
const { enableCompileCache } = await import("node:module");
enableCompileCache?.();
const { runCommandLine } = await import("./main.ts");
process.exitCode = await runCommandLine(process.argv.slice(2));
