DROP TABLE nodes;
DROP TABLE websocket_connections;
DROP TABLE revocations;
DROP TABLE audit_log;
DROP TABLE api_keys;
DROP TABLE memberships;
DROP TABLE users;
