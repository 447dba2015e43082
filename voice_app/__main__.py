from voice_app.cli import main

if __name__ == "__main__":  # a worker process imports this, too
    main()
