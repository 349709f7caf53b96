/**
 * `npm pack` starts this: the package as it is installed, in dist. Node strips no types below node_modules, so the sources
 * are compiled, file by file, that what a reader steps through looks as it was written. The codec of
 * HTTP/2, the protobuf types and their descriptors, packages that are not published, are brought along.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const packages = fileURLToPath(new URL("../../", import.meta.url));
const dist = join(packages, "proxy/dist");

/** Where a compiled file of the repository's packages goes, below dist. */
const places = [
  ["proxy/src/", ""],
  ["http2/src/", "http2/"],
  ["protos/src/", "protos/src/"],
  ["protos/gen/", "protos/gen/"],
] as const;

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts", "lib.esnext.collection.d.ts", "lib.esnext.iterator.d.ts"],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  paths: {
    "@meltemi/http2/*": [join(packages, "http2/src/*.ts")],
    "@meltemi/protos": [join(packages, "protos/src/index.ts")],
    "@meltemi/protos/*": [join(packages, "protos/gen/types/*.ts")],
  },
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
  rewriteRelativeImportExtensions: true,
  skipLibCheck: true,
  // `make check` checks types; here they are only written down.
  noCheck: true,
  declaration: true,
  rootDir: packages,
  outDir: dist,
};

const compiled = compile(["proxy/src/index.ts", "proxy/src/cli/main.ts"]);
rmSync(dist, { recursive: true, force: true });
// Much of what was compiled holds types alone, or declares what no user of the package sees.
for (const path of [...listReached(["index.js", "cli/main.js"]), ...listReached(["index.d.ts"])]) {
  mkdirSync(dirname(join(dist, path)), { recursive: true });
  writeFileSync(join(dist, path), compiled.get(path) ?? "");
}
cpSync(join(packages, "protos/gen/descriptors.json"), join(dist, "protos/gen/descriptors.json"));
cpSync(join(packages, "../docs/proxy.md"), join(dist, "proxy.md"));

/** Text of the files below dist, by path. */
function compile(roots: readonly string[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const program = ts.createProgram(
    roots.map((root) => join(packages, root)),
    options,
  );
  const { diagnostics } = program.emit(undefined, (name, text) => {
    const path = placeOf(relative(dist, name));
    files.set(path, withWays(path, text));
  });
  if (diagnostics.length > 0) {
    const host = {
      getCanonicalFileName: (name: string) => name,
      getCurrentDirectory: () => packages,
      getNewLine: () => "\n",
    };
    throw new Error(ts.formatDiagnostics(diagnostics, host));
  }
  return files;
}

function placeOf(source: string): string {
  for (const [from, to] of places) if (source.startsWith(from)) return `${to}${source.slice(from.length)}`;
  throw new Error(`${source} has no place in the package`);
}

/** The text with its imports leading to compiled files, those of the packages that are brought along among them. */
function withWays(path: string, text: string): string {
  let result = text;
  // From the end, so that positions stay right.
  for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles.toReversed()) {
    const start = text.indexOf(fileName, pos);
    result = `${result.slice(0, start)}${findWay(path, fileName)}${result.slice(start + fileName.length)}`;
  }
  return result;
}

/** What `path` is to say for a module; declarations still name sources. */
function findWay(path: string, specifier: string): string {
  if (specifier.startsWith(".")) return specifier.replace(/\.ts$/, ".js");
  const [, name, part] = /^@meltemi\/(http2|protos)(?:\/(.+))?$/.exec(specifier) ?? [];
  if (name === undefined) return specifier;
  const inProtos = part === undefined ? "protos/src/index.js" : `protos/gen/types/${part}.js`;
  const target = name === "http2" ? `http2/${part}.js` : inProtos;
  const way = posix.relative(posix.dirname(path), target);
  return way.startsWith(".") ? way : `./${way}`;
}

/** The files that these lead to, with themselves. Throws where one names a file that was not compiled. */
function listReached(roots: readonly string[]): ReadonlySet<string> {
  const reached = new Set<string>();
  const pending = [...roots];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    const text = compiled.get(path);
    if (text === undefined) throw new Error(`${path} was not compiled`);
    const ending = path.endsWith(".d.ts") ? ".d.ts" : ".js";
    for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
      if (!fileName.startsWith(".")) continue;
      pending.push(posix.join(posix.dirname(path), fileName.replace(/\.js$/, ending)));
    }
  }
  return reached;
}
