import { readFileSync } from "node:fs";
import type { DataSource } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError } from "../lib/config-error.ts";

/** The bytes of a source, read once: files of direct responses are not watched. Throws ConfigError. */
export function readDataSource(wire: DataSource): Uint8Array {
  if (wire.inline_string !== undefined) return Buffer.from(wire.inline_string);
  if (wire.inline_bytes !== undefined) return wire.inline_bytes;
  if (wire.environment_variable !== undefined) throw new ConfigError("environment_variable", "is not supported");
  if (wire.filename === undefined) throw new ConfigError("", "has no source");
  try {
    return readFileSync(wire.filename);
  } catch (cause: unknown) {
    throw new ConfigError("filename", cause instanceof Error ? cause.message : "cannot be read");
  }
}
