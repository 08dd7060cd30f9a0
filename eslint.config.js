import js from "@eslint/js";
import globals from "globals";

export default [
  {
    ignores: ["target/", "tidings-data/", "**/node_modules/", "**/dist/", "web/playground/vendor/"],
  },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: ["error", "always"],
      "no-var": "error",
      "prefer-const": "error",
      "object-shorthand": "error",
      "no-implicit-coercion": "error",
    },
  },
  { files: ["web/playground/**"], languageOptions: { globals: globals.browser } },
  {
    files: ["e2e/**", "deploy/**", "web/test/**", "scripts/**", "bench/**", "*.js"],
    languageOptions: { globals: globals.node },
  },
  // These hand functions to a page, which runs them there.
  {
    files: ["e2e/browser/**", "e2e/support/{browser,playground}.mjs", "e2e/picture.mjs"],
    languageOptions: { globals: globals.browser },
  },
];
