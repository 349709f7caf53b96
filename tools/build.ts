/**
 * `npm run build`: writes what is generated: code that the sources import, and the CRDs. Nothing is compiled, because
 * Node runs the sources as they are. A stamp of the inputs makes a second run a matter of milliseconds.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

interface Step {
  readonly name: string;
  readonly generator: string;
  readonly inputDirs: readonly string[];
  /** The manifests of packages that take part: they change with every version. */
  readonly inputFiles: readonly string[];
  /** Files that must be there, besides the stamp. */
  readonly outputFiles: readonly string[];
  readonly stamp: string;
}

const ROOT = new URL("../", import.meta.url).pathname;

const STEPS: readonly Step[] = [
  {
    name: "protos",
    generator: "packages/protos/build/generate.ts",
    inputDirs: ["protos", "packages/protos/build"],
    inputFiles: ["node_modules/@grpc/grpc-js-xds/package.json", "node_modules/protobufjs/package.json"],
    outputFiles: ["packages/protos/gen/descriptors.json", "packages/protos/gen/types/type-map.ts"],
    stamp: "packages/protos/gen/inputs.sha256",
  },
  {
    name: "CRDs",
    generator: "tools/crds/generate.ts",
    inputDirs: ["src/api", "tools/crds"],
    inputFiles: ["node_modules/typebox/package.json", "node_modules/yaml/package.json"],
    outputFiles: ["manifests/crds", "manifests/chart/crds"].map(
      (dir) => `${dir}/virtualservices.networking.istio.io.yaml`,
    ),
    stamp: ".cache/crds.sha256",
  },
];

for (const step of STEPS) {
  const inputs = hashInputs(step);
  if (isCurrent(step, inputs)) {
    console.log(`build: ${step.name} are current`);
  } else {
    const { status } = spawnSync(process.execPath, [join(ROOT, step.generator)], { stdio: "inherit" });
    if (status !== 0) process.exit(status ?? 1);
    mkdirSync(dirname(join(ROOT, step.stamp)), { recursive: true });
    writeFileSync(join(ROOT, step.stamp), inputs);
  }
}

function isCurrent(step: Step, inputs: string): boolean {
  const stampFile = join(ROOT, step.stamp);
  if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== inputs) return false;
  return step.outputFiles.every((file) => existsSync(join(ROOT, file)));
}

function hashInputs({ inputDirs, inputFiles }: Step): string {
  const hash = createHash("sha256");
  const listed = inputDirs.flatMap((dir) =>
    readdirSync(join(ROOT, dir), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".test.ts"))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  for (const file of [...listed.sort(), ...inputFiles.map((name) => join(ROOT, name))]) {
    hash.update(file.slice(ROOT.length)).update("\0").update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}
