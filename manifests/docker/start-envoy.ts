/**
 * Entry point of the proxy image: node start-envoy.ts ENVOY [arguments of `meltemi bootstrap`] [-- arguments of Envoy].
 * It makes the bootstrap and becomes Envoy, which so is the container's first process: it hears SIGTERM itself, and no
 * second program stays in memory. The bootstrap goes as an argument, because the root file system is read-only.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const meltemi = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));

const [envoy = "", ...given] = process.argv.slice(2);
const end = given.indexOf("--");
const [ofBootstrap, ofEnvoy] = end < 0 ? [given, []] : [given.slice(0, end), given.slice(end + 1)];

const { status, stdout, error } = spawnSync(process.execPath, [meltemi, "bootstrap", ...ofBootstrap], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"],
});
if (error !== undefined) throw error;
// What was wrong with the arguments has been printed.
if (status !== 0) process.exit(status ?? 1);

// A container has no older Envoy to take over from.
process.execve?.(envoy, [envoy, "--disable-hot-restart", "--config-yaml", stdout, ...ofEnvoy]);
process.stderr.write("this Node cannot become another program; 22.15 or newer can\n");
process.exitCode = 1;
