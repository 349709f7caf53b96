/** `make features`: writes docs/features.md, the table of fields, whether they are translated, and what proves it. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { readProofs } from "./proofs.ts";
import { buildFeatures, formatFeatures } from "./table.ts";

const file = resolve(import.meta.dirname, "../../docs/features.md");
const features = buildFeatures(readProofs());
writeFileSync(file, formatFeatures(features));
const open = features.filter(({ state }) => state === "unproven");
console.log(`features: ${features.length} fields, ${open.length} of them without proof`);
for (const { kind, path } of open) console.log(`  ${kind} ${path}`);
