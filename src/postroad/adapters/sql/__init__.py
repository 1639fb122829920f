"""SQL behind the store port: transaction functions, repositories, schema; engines in packages of their own."""
