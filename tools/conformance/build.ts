/** `make conformance-programs`: builds what the tests of HTTP/2 and gRPC need, and says how long it takes. */
import { conformancePrograms } from "./programs.ts";

try {
  await conformancePrograms((line) => console.log(`  ${line}`));
} catch (cause) {
  console.error(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exit(1);
}
