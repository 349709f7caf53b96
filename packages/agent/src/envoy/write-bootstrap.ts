/** The bootstrap as a file, where Envoy reads it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../config/json.ts";

/** Writes it into the directory, which is made where it is missing, and returns the file's path. */
export function writeBootstrap(directory: string, bootstrap: JsonObject): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, "envoy-rev.json");
  writeFileSync(file, JSON.stringify(bootstrap), { mode: 0o600 });
  return file;
}
