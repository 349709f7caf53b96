/**
 * `npm run build`: writes the generated code that the sources import. Nothing is compiled, because Node runs the
 * sources as they are. A stamp of the inputs makes a second run a matter of milliseconds.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = new URL("../", import.meta.url).pathname;
const GENERATOR = "packages/protos/build/generate.ts";
const OUTPUT = "packages/protos/gen";
const OUTPUT_FILES = ["descriptors.json", "types/type-map.ts"];
const STAMP = `${OUTPUT}/inputs.sha256`;
const INPUT_DIRS = ["protos", "packages/protos/build"];
/** The manifests of the packages that bring the .proto files and their parser: they change with every version. */
const INPUT_FILES = ["node_modules/@grpc/grpc-js-xds/package.json", "node_modules/protobufjs/package.json"];

const stamp = hashInputs();
if (isCurrent(stamp)) {
  console.log("build: protos are current");
} else {
  const { status } = spawnSync(process.execPath, [join(ROOT, GENERATOR)], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
  mkdirSync(join(ROOT, OUTPUT), { recursive: true });
  writeFileSync(join(ROOT, STAMP), stamp);
}

function isCurrent(expected: string): boolean {
  const stampFile = join(ROOT, STAMP);
  if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== expected) return false;
  return OUTPUT_FILES.every((file) => existsSync(join(ROOT, OUTPUT, file)));
}

function hashInputs(): string {
  const hash = createHash("sha256");
  const listed = INPUT_DIRS.flatMap((dir) =>
    readdirSync(join(ROOT, dir), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  for (const file of [...listed.sort(), ...INPUT_FILES.map((name) => join(ROOT, name))]) {
    hash.update(file.slice(ROOT.length)).update("\0").update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}
