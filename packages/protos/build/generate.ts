/**
 * Turns the .proto definitions into gen/descriptors.json (read at run time) and gen/types/ (read by the compiler).
 * Run through `npm run build`, which skips it when nothing changed.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";
import { describe } from "./describe.ts";
import { loadProtos } from "./load-protos.ts";
import { renderTypes } from "./render-types.ts";

const OUTPUT = new URL("../gen/", import.meta.url).pathname;

const descriptor = describe(loadProtos());
const root = protobuf.Root.fromJSON(descriptor);
const types = renderTypes(root);
rmSync(join(OUTPUT, "types"), { recursive: true, force: true });
for (const [path, text] of types) {
  const file = join(OUTPUT, "types", path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
writeFileSync(join(OUTPUT, "descriptors.json"), JSON.stringify(descriptor));
process.stdout.write(`protos: ${types.size} packages in ${JSON.stringify(descriptor).length} bytes\n`);
