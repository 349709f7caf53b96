/**
 * `make soak-proxy`: an hour's worth of changes and requests through one proxy, as fast as they go, held against a model of
 * the answers. CHANGES (3600) and REQUESTS (180000) say how much, SEED repeats a sequence, PROXY=envoy asks real Envoy in the
 * companion's place, XDS=delta or sotw picks a form of the protocol (the seed does otherwise). Ends with 1 where anything
 * was wrong or lost, or where memory grew.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeGrowth } from "../../test/companion/model/memory-growth.ts";
import { formatDetails, formatFault } from "../../test/companion/model/report.ts";
import { runModel } from "../../test/companion/model/run-model.ts";
import { readNumber } from "./read-number.ts";

const changes = readNumber("CHANGES", 3600);
const requests = readNumber("REQUESTS", changes * 50);
const seed = readNumber("SEED", 1 + Math.floor(Math.random() * 1_000_000));
const dataPlane = process.env["PROXY"] === "envoy" ? "envoy" : "companion";
const form = process.env["XDS"] ?? "";
const isDelta = form === "" ? seed % 2 === 0 : form === "delta";

const say = (line: string): void => console.log(line);
say(
  `seed ${seed}, ${dataPlane}, ${isDelta ? "delta" : "state of the world"}: ${changes} changes, ${requests} requests`,
);
const startedAt = performance.now();
const requestsPerChange = Math.ceil(requests / changes);
const result = await runModel({ seed, changes, dataPlane, isDelta, requestsPerChange, say });
const { faults, memory } = result;
say(
  `${result.changes} changes (${result.refusals} refused, as they had to be) in ${Math.round((performance.now() - startedAt) / 1000)} s`,
);
say(
  `${result.requests} requests: ${result.cancelled} cancelled, ${result.raced} sent once more, ${result.cut} cut off by the end of a drain; ${result.longStreams} long streams`,
);
say(result.patterns);
const growth = describeGrowth(memory);
say(growth.text);
for (const fault of faults) say(`WRONG, seed ${seed}, ${formatFault(fault)}`);
if (faults.length > 0) {
  const file = join(tmpdir(), `meltemi-model-${seed}.json`);
  writeFileSync(file, formatDetails(faults));
  say(`what was asked, expected and configured: ${file}`);
  say(`again: make soak-proxy SEED=${seed} CHANGES=${Math.max(...faults.map(({ step }) => step))}`);
}
say(faults.length === 0 ? "nothing wrong, nothing lost" : `${faults.length} wrong`);
process.exitCode = faults.length === 0 && growth.isFlat ? 0 : 1;
