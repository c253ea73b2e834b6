/**
 * Every kind of content, in answers of tools, in resources and in prompts.
 */
import type { CallToolResult } from "@modelcontextprotocol/server";
import type { Prompt } from "../../../src/http/mcp/prompts.ts";
import type { Resources } from "../../../src/http/mcp/resources.ts";
import { NO_INPUT, type RawTool, textResult } from "./tool.ts";

/** One red pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/** A WAV file with nothing in it. */
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

const image = { type: "image" as const, data: PNG, mimeType: "image/png" };

function shows(name: string, description: string, ...content: CallToolResult["content"]): RawTool {
  return { name, description, inputSchema: NO_INPUT, run: () => ({ content }) };
}

export const CONTENT_TOOLS: readonly RawTool[] = [
  shows("test_simple_text", "Text.", { type: "text", text: "This is a simple text response for testing." }),
  shows("test_image_content", "An image.", image),
  shows("test_audio_content", "A sound.", { type: "audio", data: WAV, mimeType: "audio/wav" }),
  shows("test_embedded_resource", "A resource in the answer.", {
    type: "resource",
    resource: {
      uri: "test://embedded-resource",
      mimeType: "text/plain",
      text: "This is an embedded resource content.",
    },
  }),
  shows(
    "test_multiple_content_types",
    "Text, an image and a resource.",
    { type: "text", text: "Multiple content types test:" },
    image,
    {
      type: "resource",
      resource: {
        uri: "test://mixed-content-resource",
        mimeType: "application/json",
        text: JSON.stringify({ test: "data", value: 123 }),
      },
    },
  ),
  {
    name: "test_error_handling",
    description: "Fails.",
    inputSchema: NO_INPUT,
    run: () => ({ ...textResult("This tool intentionally returns an error for testing"), isError: true }),
  },
  {
    name: "json_schema_2020_12_tool",
    description: "Its schema has what JSON Schema 2020-12 can say, and all of that has to reach the client.",
    inputSchema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: {
        address: {
          $anchor: "addressDef",
          type: "object",
          properties: { street: { type: "string" }, city: { type: "string" } },
        },
      },
      properties: {
        name: { type: "string" },
        address: { $ref: "#/$defs/address" },
        contactMethod: { type: "string", enum: ["phone", "email"] },
        phone: { type: "string" },
        email: { type: "string" },
      },
      allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
      if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { required: ["phone"] },
      else: { required: ["email"] },
      additionalProperties: false,
    },
    run: (input) => textResult(JSON.stringify(input)),
  },
];

export const CONTENT_RESOURCES: Resources = {
  list: async () => [
    { uri: "test://static-text", name: "static text", description: "Text.", mimeType: "text/plain" },
    { uri: "test://static-binary", name: "static binary", description: "An image.", mimeType: "image/png" },
  ],
  templates: [
    {
      name: "static",
      title: "Static resource",
      description: "text or binary.",
      uriTemplate: "test://static-{kind}",
      read: async ({ kind }) =>
        kind === "text"
          ? { mimeType: "text/plain", text: "This is the content of the static text resource." }
          : { mimeType: "image/png", blob: PNG },
    },
    {
      name: "template",
      title: "Resource of an id",
      description: "Says the id.",
      uriTemplate: "test://template/{id}/data",
      read: async ({ id }) => ({
        mimeType: "application/json",
        text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
      }),
    },
  ],
};

const required = (...names: string[]) => names.map((name) => ({ name, description: name, required: true }));
const says = (text: string) => ({ role: "user" as const, content: { type: "text" as const, text } });

export const CONTENT_PROMPTS: readonly Prompt[] = [
  {
    name: "test_simple_prompt",
    title: "Simple",
    description: "One message.",
    arguments: [],
    answer: () => ({ messages: [says("This is a simple prompt for testing.")] }),
  },
  {
    name: "test_prompt_with_arguments",
    title: "With arguments",
    description: "Says its arguments.",
    arguments: required("arg1", "arg2"),
    answer: ({ arg1, arg2 }) => ({ messages: [says(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)] }),
  },
  {
    name: "test_prompt_with_embedded_resource",
    title: "With a resource",
    description: "A resource, and what to do with it.",
    arguments: required("resourceUri"),
    answer: ({ resourceUri: uri = "" }) => ({
      messages: [
        {
          role: "user",
          content: {
            type: "resource",
            resource: { uri, mimeType: "text/plain", text: "Embedded resource content for testing." },
          },
        },
        says("Please process the embedded resource above."),
      ],
    }),
  },
  {
    name: "test_prompt_with_image",
    title: "With an image",
    description: "An image, and what to do with it.",
    arguments: [],
    answer: () => ({ messages: [{ role: "user", content: image }, says("Please analyze the image above.")] }),
  },
];
