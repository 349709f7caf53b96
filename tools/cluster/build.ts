/** `make cluster-programs`: builds what tests with a real API server need, and says how long it takes. */
import { clusterPrograms } from "./programs.ts";

try {
  await clusterPrograms((line) => console.log(`  ${line}`));
} catch (cause) {
  console.error(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exit(1);
}
