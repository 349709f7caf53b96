/**
 * Turns the .proto definitions into gen/descriptors.json (read at run time) and gen/types/ (read by the compiler).
 * Run through `npm run build`, which skips it when nothing changed.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe } from "./describe.ts";
import { loadProtos } from "./load-protos.ts";
import { renderTypes } from "./render-types.ts";

const OUTPUT = new URL("../gen/", import.meta.url).pathname;

const descriptors = describe(loadProtos());
const types = renderTypes(descriptors);
rmSync(join(OUTPUT, "types"), { recursive: true, force: true });
for (const [path, text] of types) {
  const file = join(OUTPUT, "types", path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
writeFileSync(join(OUTPUT, "descriptors.json"), JSON.stringify(descriptors));
process.stdout.write(
  `protos: ${Object.keys(descriptors.messages).length} messages, ${Object.keys(descriptors.enums).length} enums, ` +
    `${Object.keys(descriptors.services).length} services\n`,
);
