import { compileSchema } from "../check-schema.ts";
import { createFindings } from "../findings.ts";
import type { PlainValue } from "../plain-value.ts";
import { proxyConfigSchema } from "./proxy-config.ts";
import { isPlainObject } from "./read-yaml.ts";
import type { ProxyConfig } from "./schema.ts";

const check = compileSchema(proxyConfigSchema, { unknownFields: "warning" });

/**
 * The ProxyConfig that a proxy says it was started with (node metadata PROXY_CONFIG, as JSON: the mesh's default with
 * annotations and ProxyConfig objects laid over it by the injector). Undefined where there is none that can be read: what
 * a proxy says of itself must not harm anybody.
 */
export function readNodeProxyConfig(value: unknown): ProxyConfig | undefined {
  if (!isPlainObject(value as PlainValue)) return undefined;
  const checked = check.check(value as PlainValue, { path: [], findings: createFindings() });
  // The schema has proved the type.
  return isPlainObject(checked) ? (checked as unknown as ProxyConfig) : undefined;
}
