import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { parseFlag } from "../../config/flag.ts";
import { flagTable } from "../../config/flags.ts";
import { CommandFailure } from "../failures.ts";

interface GivenOptions {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly out: string;
  readonly caDir: string;
  readonly trustDomain: string;
  readonly ttl: number;
}

const examples = `
Example, without a cluster:
  meltemi certificate --namespace istio-system --service-account ingress --out certs/ingress
  meltemi bootstrap ingress.istio-system --type router --service-account ingress \\
    --label istio=ingressgateway --tls-dir certs/ingress > ingress.json

\`meltemi serve\` in the same folder believes it: both read the authority in ${flagTable.rootCaDir.default}.`;

export function createCertificateCommand(): Command {
  return new Command("certificate")
    .description(
      "Issue the certificate of a workload by an authority in files, so that its proxy can use xDS over TLS (15012). Makes the authority where there is none.",
    )
    .requiredOption("--namespace <name>", "namespace of the workload")
    .option("--service-account <name>", "service account of the workload", "default")
    .requiredOption(
      "--out <dir>",
      "directory to write certificate, key and roots into; written anew, Envoy takes the new ones",
    )
    .option("--ca-dir <dir>", "directory of the authority, as ROOT_CA_DIR names it", flagTable.rootCaDir.default)
    .option("--trust-domain <domain>", "trust domain of the mesh", "cluster.local")
    .option("--ttl <duration>", "how long the certificate holds", parseTtl, parseTtl("24h"))
    .addHelpText("after", examples)
    .action(async (options: GivenOptions) => {
      const { writeWorkloadCertificate } = await import("../../bootstrap/workload-certificate.ts");
      try {
        const lines = await writeWorkloadCertificate({
          identity: options,
          outDirectory: resolve(options.out),
          authorityDirectory: resolve(options.caDir),
          lifetimeMs: options.ttl,
        });
        process.stdout.write(`${lines.join("\n")}\n`);
      } catch (cause) {
        throw new CommandFailure(cause instanceof Error ? cause.message : String(cause), { cause });
      }
    });
}

function parseTtl(text: string): number {
  const parsed = parseFlag("duration", text);
  if ("problem" in parsed) throw new InvalidArgumentError(`${parsed.problem}.`);
  const { value } = parsed;
  if (value < 60_000 || value > 90 * 24 * 3_600_000) throw new InvalidArgumentError("Between 1m and 2160h, please.");
  return value;
}
