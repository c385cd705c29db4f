// AWS's own rules for APPSYNC_JS, with types, since some of them look at the type of what a method is called
// on.
import appsync from '@aws-appsync/eslint-plugin';
import parser from '@typescript-eslint/parser';
import rules from './rules.js';

export default [
  {
    files: ['**/*.js'],
    languageOptions: { parser, parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { '@aws-appsync': appsync, runtime: rules },
    rules: { ...appsync.configs.recommended.rules, 'runtime/no-stored-number-in-text': 'error' },
  },
];
