/** Codings of node:zlib by the messages that configure Envoy's libraries. */

import type { Transform } from "node:stream";
import {
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
} from "node:zlib";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { Brotli } from "@meltemi/protos/envoy/extensions/compression/brotli/compressor/v3";
import type { Gzip } from "@meltemi/protos/envoy/extensions/compression/gzip/compressor/v3";
import type { Zstd } from "@meltemi/protos/envoy/extensions/compression/zstd/compressor/v3";
import { ConfigError, need } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import { unpackConfig } from "../unpack-config.ts";

export interface Coding {
  /** As Content-Encoding names it. */
  readonly name: string;
  /** The part of statistics' names: the library's own name and its prefix. */
  readonly statPrefix: string;
  readonly create: () => Transform;
}

const prefix = "envoy.extensions.compression.";

/** What a compressor library makes. Throws ConfigError. */
export function compileCompressor(library: TypedExtensionConfig | undefined): Coding {
  const { name = "", typed_config: config } = need("", library);
  const { typeName, message } = unpackConfig(need("typed_config", config));
  const create = (coding: string, short: string, make: () => Transform): Coding => ({
    name: coding,
    statPrefix: `${name}.${short}`,
    create: make,
  });
  switch (typeName) {
    case `${prefix}gzip.compressor.v3.Gzip`:
      return create("gzip", "gzip", compileGzip(message));
    case `${prefix}brotli.compressor.v3.Brotli`:
      return create("br", "brotli", compileBrotli(message));
    case `${prefix}zstd.compressor.v3.Zstd`:
      return create("zstd", "zstd", compileZstd(message));
    default:
      throw new ConfigError("typed_config", `the compressor ${typeName} is not supported`);
  }
}

/** What a decompressor library undoes. Throws ConfigError. */
export function compileDecompressor(library: TypedExtensionConfig | undefined): Coding {
  const { name = "", typed_config: config } = need("", library);
  const { typeName, message } = unpackConfig(need("typed_config", config));
  switch (typeName) {
    case `${prefix}gzip.decompressor.v3.Gzip`:
      return { name: "gzip", statPrefix: `${name}.gzip`, create: () => createGunzip() };
    case `${prefix}brotli.decompressor.v3.Brotli`:
      return { name: "br", statPrefix: `${name}.brotli`, create: () => createBrotliDecompress() };
    case `${prefix}zstd.decompressor.v3.Zstd`: {
      const { dictionaries = [] } = message as { readonly dictionaries?: readonly unknown[] };
      if (dictionaries.length > 0) throw new ConfigError("typed_config.dictionaries", "is not supported");
      return { name: "zstd", statPrefix: `${name}.zstd`, create: () => createZstdDecompress() };
    }
    default:
      throw new ConfigError("typed_config", `the decompressor ${typeName} is not supported`);
  }
}

const gzipStrategies = {
  DEFAULT_STRATEGY: constants.Z_DEFAULT_STRATEGY,
  FILTERED: constants.Z_FILTERED,
  HUFFMAN_ONLY: constants.Z_HUFFMAN_ONLY,
  RLE: constants.Z_RLE,
  FIXED: constants.Z_FIXED,
};

/** Each chunk is flushed, so that what streams keeps streaming. */
function compileGzip(wire: Gzip): () => Transform {
  const options = {
    level: gzipLevel(wire.compression_level ?? "DEFAULT_COMPRESSION"),
    memLevel: wrappedNumber(wire.memory_level, 5),
    windowBits: wrappedNumber(wire.window_bits, 12),
    strategy: gzipStrategies[wire.compression_strategy ?? "DEFAULT_STRATEGY"],
    flush: constants.Z_SYNC_FLUSH,
  };
  return () => createGzip(options);
}

function gzipLevel(name: NonNullable<Gzip["compression_level"]>): number {
  if (name === "DEFAULT_COMPRESSION") return constants.Z_DEFAULT_COMPRESSION;
  if (name === "BEST_SPEED") return constants.Z_BEST_SPEED;
  return name === "BEST_COMPRESSION" ? constants.Z_BEST_COMPRESSION : Number(name.slice("COMPRESSION_LEVEL_".length));
}

const brotliModes = {
  DEFAULT: constants.BROTLI_DEFAULT_MODE,
  GENERIC: constants.BROTLI_MODE_GENERIC,
  TEXT: constants.BROTLI_MODE_TEXT,
  FONT: constants.BROTLI_MODE_FONT,
};

function compileBrotli(wire: Brotli): () => Transform {
  const options = {
    flush: constants.BROTLI_OPERATION_FLUSH,
    params: {
      [constants.BROTLI_PARAM_QUALITY]: wrappedNumber(wire.quality, 3),
      [constants.BROTLI_PARAM_LGWIN]: wrappedNumber(wire.window_bits, 18),
      [constants.BROTLI_PARAM_LGBLOCK]: wrappedNumber(wire.input_block_bits, 24),
      [constants.BROTLI_PARAM_MODE]: brotliModes[wire.encoder_mode ?? "DEFAULT"],
      [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: wire.disable_literal_context_modeling === true,
    },
  };
  return () => createBrotliCompress(options);
}

const zstdStrategies = [
  "DEFAULT",
  "FAST",
  "DFAST",
  "GREEDY",
  "LAZY",
  "LAZY2",
  "BTLAZY2",
  "BTOPT",
  "BTULTRA",
  "BTULTRA2",
];

function compileZstd(wire: Zstd): () => Transform {
  if (wire.dictionary) throw new ConfigError("typed_config.dictionary", "is not supported");
  const strategy = zstdStrategies.indexOf(wire.strategy ?? "DEFAULT");
  const options = {
    flush: constants.ZSTD_e_flush,
    params: {
      [constants.ZSTD_c_compressionLevel]: wrappedNumber(wire.compression_level, 3),
      [constants.ZSTD_c_checksumFlag]: wire.enable_checksum ? 1 : 0,
      ...(strategy > 0 ? { [constants.ZSTD_c_strategy]: strategy } : {}),
    },
  };
  return () => createZstdCompress(options);
}
