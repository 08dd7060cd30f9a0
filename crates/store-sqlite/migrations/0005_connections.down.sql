DROP TABLE nodes;
DROP TABLE websocket_connections;
